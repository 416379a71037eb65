"""What the portal does about alerts by itself, and what people do with them."""
