"""HARDWARE: fulfils `edge.ports` with drivers, simulators and the technician's tools."""
