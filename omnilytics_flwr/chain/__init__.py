"""The market's contracts over the engine room: deploying, reading, sending, and the compiled code that ships."""
