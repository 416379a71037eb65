"""What is done with certificates: requests in a batch, decisions of people, signing."""
