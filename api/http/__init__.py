"""HTTP for all routes: bodies, fields, files of pages, problem documents."""
