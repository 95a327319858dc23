-- The closing of a day asks for the cards that have something to close, not only for those with an instalment due.
alter table balances rename column next_due to closes_on;
alter index balances_next_due_idx rename to balances_closes_on_idx;
