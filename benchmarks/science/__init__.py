"""Every family on synthetic corpora with planted truth, and what each part of DUAL is worth there."""
