"""Where signals come from: bundled pictures, drawn text, local folders, published data."""
