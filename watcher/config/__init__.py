"""Settings: text, flags and environment become one frozen value, or a list of every problem at once.

Here live the shape of `webhooks.yaml`, the words an operator reads when it is wrong, and all defaults
(`default.yaml`). No setting is read, guessed or defaulted anywhere else, and nothing is connected to here."""
