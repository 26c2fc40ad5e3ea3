"""How settings are written: their names, the file `apex.yaml`, and what one value may be. Reads no environment."""
