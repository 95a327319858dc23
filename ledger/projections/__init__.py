"""Read models and the projector that follows the log for them. They decide nothing: all may be stopped."""
