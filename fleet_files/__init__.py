"""Files and folders that survive a power cut; the one way in which every part writes what matters."""
