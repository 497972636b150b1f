"""Image side: reading files, encoder features, prototypes, perceiving and calibrating (PDC)."""

from vision.errors import BankRefused, ImageRefused
from vision.reading.medical_image import MedicalImage, read_image

__all__ = ["BankRefused", "ImageRefused", "MedicalImage", "read_image"]
