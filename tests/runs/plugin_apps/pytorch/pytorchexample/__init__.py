"""Which of two rings is a point on: an app of the tests, in the form of such apps."""
