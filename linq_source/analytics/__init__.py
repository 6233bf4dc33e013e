"""Views in the destination, one SQL file each, and what applies them."""
