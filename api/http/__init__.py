"""What every route shares below its own subject: bodies, fields, files of pages, refusals."""
