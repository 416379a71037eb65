"""What every app leans on, closed and linted: nothing here knows an app of the project."""
