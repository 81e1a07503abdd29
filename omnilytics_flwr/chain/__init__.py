"""The market's contracts on top of `evm`: deploying, reading, sending, and the compiled code that ships."""
