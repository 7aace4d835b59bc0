"""What the parts promise each other: events, jobs, errors, schemas. No input or output happens here."""
