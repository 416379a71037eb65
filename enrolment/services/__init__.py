"""What changes enrolment tokens, and whom they let in; approving agents."""
