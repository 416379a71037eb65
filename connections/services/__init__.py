"""What is done with connection settings: deciding who should have which, editing, releasing, moving."""
