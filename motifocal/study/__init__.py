"""The human study: from folders of videos to votes, and from votes to results with intervals."""
