"""What metrics ask about pictures and videos: one folder a capability, its protocol, one file a backend."""
