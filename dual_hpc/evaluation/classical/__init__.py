"""The field's classical line on the same shards, splits and reports: hand-made features of sound and an SVM."""
