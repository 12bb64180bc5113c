"""What must hold before anything but a probe is paid for."""
