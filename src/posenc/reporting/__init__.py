"""How results look on paper: one plot style, tiles of pictures, table and figure writers."""
