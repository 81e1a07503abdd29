"""Which iris is it: an app of the tests, in the form of such apps."""
