"""The reconstruction: schedule, expectation, maximisation, and the generator over both."""
