"""The human study: two folders of videos become votes, and votes become a result with intervals."""
