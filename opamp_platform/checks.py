"""Configuration mistakes as numbered system checks with hints."""
