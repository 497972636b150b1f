"""Files to checked RGB: the one door for pixels."""

from vision.reading.medical_image import MedicalImage, read_image

__all__ = ["MedicalImage", "read_image"]
