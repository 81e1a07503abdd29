"""An app that somebody else wrote, tried without its market: what it starts from, what a local round changes, and which terms fit that."""
