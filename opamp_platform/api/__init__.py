"""REST plumbing: bodies, pages, problems, the schema. What resources say is their app's business."""
