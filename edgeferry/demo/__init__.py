"""`edgeferry demo`: the whole loop on this machine, with real parts, told as a story of asserted acts."""
