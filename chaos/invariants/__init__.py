"""What must hold after every scenario."""
