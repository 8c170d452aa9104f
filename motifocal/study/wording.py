"""The texts that annotators read, in plain English, where the researcher gives none.

They follow the paper's protocol (after Emu Video's JUICE) in our own words: first the better video
overall, then why. Markdown.
"""

from __future__ import annotations

QUESTION = "Which video is the better animation of this picture and sentence?"

#: Key, label and meaning of every reason, in the order of the paper's Figure 4.
REASON_TEXTS = (
    ("object_motion", "Object motion",
     "What should move does move, and it moves in a natural way."),
    ("text_alignment", "Text alignment",
     "What happens is what the sentence says."),
    ("image_alignment", "Image alignment",
     "The video keeps to the picture: the same things, looking the same, in the same place."),
    ("overall_quality", "Overall quality",
     "The video is sharp and steady; nothing flickers, melts or breaks."),
)  # fmt: skip

CONSENT = """\
# Comparing short videos

You are invited to take part in a study about videos that computer programs have made from a
picture and a sentence.

**What you will do.** You see a picture, a sentence, and two short videos beside each other. You
choose the video that you find better, and say why. Then come the next two.

**What is stored.** Your choices and reasons, how long each took, how often the videos played and
whether the page was in view. If a recruitment service sent you here, the number that it gave you
is stored as well, so that you can be paid. Your name and your address are not.

**What becomes of it.** The answers are counted and may be published. What is published names
nobody.

**It is up to you.** You can stop at any time by closing the page. The videos have no sound. Some
of them flicker: please do not take part if flickering pictures can make you ill.

By going on you say that you are at least 18 years old, have read this, and agree to take part.
"""

INSTRUCTIONS = """\
# How it works

A computer program was given a **picture** and a **sentence**, and made a short video from them: it
should start from the picture and show what the sentence says. You see the videos of two programs.

**First choose the better video overall.** Look at the picture, read the sentence, and watch both
videos at least once; they repeat for as long as you like. Then choose the one that you find the
better animation of this picture and this sentence. There is no need to look for small faults: what
counts is which one you would rather have.

**Then say why.** Choose at least one reason, or several:

- **Object motion**: what should move does move, and it moves in a natural way.
- **Text alignment**: what happens is what the sentence says.
- **Image alignment**: the video keeps to the picture: the same things, looking the same, in the
  same place.
- **Overall quality**: the video is sharp and steady; nothing flickers, melts or breaks.

Sometimes the two are close. Choose all the same, by what you see. Which program made which video
changes sides all the time, so a side says nothing.

Some comparisons have a clear answer; they show that people are watching.
"""

THANKS = """\
# Thank you

Your answers are stored. They help to find out which of these programs listen to what people ask
for.
"""
