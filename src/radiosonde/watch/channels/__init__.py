"""Channels: where events of incidents go. Each is one file with a class that `channel.Channel` describes, and a line in `make_channels`."""
