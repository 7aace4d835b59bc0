"""What `doctor` looks at: this machine and its settings, and the server. Each check yields findings; none of them raises."""
