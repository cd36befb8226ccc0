"""Several hosts that share no directory, made of Linux namespaces on this machine."""
