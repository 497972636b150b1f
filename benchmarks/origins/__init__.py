"""Pictures of an origin that the acquisition half was not fitted on: measured, summed up, shown."""
