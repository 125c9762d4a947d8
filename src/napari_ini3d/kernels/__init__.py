"""The only code written once per device; everything else is array code."""
