"""What clients and people read of sessions: event documents, the journal, a channel's day, reasons for viewers."""
