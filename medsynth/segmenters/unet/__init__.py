"""A U-Net that draws a mask at once."""
