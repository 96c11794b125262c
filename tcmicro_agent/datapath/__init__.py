"""The only room with system calls for the kernel side: it does what it is told and decides nothing."""
