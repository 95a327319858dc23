"""The routes by reader and business area: each module holds its rows of the table of operations and their handlers."""
