"""Tell whether a caption, in English, names anything that moves or changes.

A model that is told nothing about motion cannot learn to follow what it is told. Verbs are found in
all their forms. A noun that only looks like a verb ("the waves", "a walk") does not count, a
caption that is not English is not judged, and in doubt a word of motion is there: this is a hint
for people, and a false alarm costs more of their time than a miss.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Verbs of motion and of visible change; what only says where something is (stand, sit, lie, hang,
# hold, wear, face) is left out on purpose.
_VERBS = """
accelerate advance amble animate appear approach arc arise arrive ascend assemble attack bake
balance bark bathe batter beat beckon become bend bite blast blaze blend blink bloom blossom blow
blur bob boil bounce bow brake breathe brush bubble buck burn burrow burst buzz canter carry
carve cascade catch change charge chase cheer chew chop churn circle clap clean clench climb clink
close coil collapse collide comb come conduct converge cook cough crack crackle crash crawl creep
crinkle cross crouch crumble crush cry curl curve cut cycle dance dart dash deflate deform depart
descend detonate devour dig dim dip disappear disintegrate disperse dissolve dive dodge dolly drag
drain dribble drift drink drip drive droop drop drum dunk eat ebb emerge emit engulf enter erupt
evaporate exhale exit expand explode extend extinguish fade fall fan feed fetch fidget fight fill
fish flap flare flash flee flex flicker flinch flip flit float flock flood flow flurry flutter fly
fold follow freeze fry fumble gallop gather gesture get giggle give glance glide glimmer glisten
glitter glow gnaw go grab graze greet grimace grin grind grip groom grow hammer hatch haul heave
hike hit
hop hover howl hug hurl hurry hurtle ignite inch inflate inhale intensify jab jerk jiggle jog jolt
jostle juggle jump kick kiss knead kneel knit knock land laugh launch lead leap leave lick lift
light limp liquefy loop lower lunge lurch maneuver march meander melt merge migrate mimic mix morph
move mow munch narrate nibble nod nudge nuzzle ooze open orbit oscillate overtake pace paddle pan
parachute parade parry pass pat peck pedal peel perform pet pick pirouette pitch pivot play plod
plop plow pluck plummet plunge point poke pop pounce pour prance press proceed propel pucker puff
pull pulsate pulse pump punch push quiver race raise ram reach react rear recede recoil reel release
relocate remove reveal reverse revolve ride ripple rise roam roar rock roll romp rotate row rub
ruffle run rush rustle sail salute saunter scamper scan scatter scoop scramble scratch scream scroll
scrub scurry scuttle search separate sew shake shatter shave shift shimmer shine shiver shoot shout
shove shovel shrink shrug shuffle shut sigh simmer sing sink sip sizzle skate skateboard ski skid
skim skip skitter skydive slam slap slash sled slice slide slip slither smash smile smirk smoke
smolder snap snatch sneak sneeze sniff snorkel snow soar somersault spar sparkle speak speed spew
spill spin spiral splash splatter splinter split spray spread sprinkle sprint sprout spurt squat
squeeze squint squirm squirt stagger stalk steam steer step stir stomp stoop stop stream stretch
stride strike stroke stroll struggle strum strut stumble stutter sunbathe surf surge swallow swap
swarm sway sweep swell swerve swim swing swipe swirl swish swivel swoop talk tap taxi tear teeter
tend throw thrust thump tick tickle tighten tilt tip toast toddle topple toss totter touch tow trace
track trail train tramp trample transform transition travel traverse tread tremble trickle trim trip
trot trudge trundle tug tumble turn twinkle twirl twist twitch type undulate unfold unfurl unravel
unroll unwind unwrap uproot vacuum vanish vaporize vibrate waddle wade wag waggle wake walk waltz
wander wash water wave waver weave whip whirl whisk whisper wiggle wilt wince wink wipe wither
wobble work wrap wrestle wriggle write writhe yawn yell zigzag zip zoom
"""
# Pasts that no rule makes; "backs" and "sets" are the only forms of theirs that say so.
_PASTS = """
arisen arose ate backs beaten became bent bit bitten blew blown broke broken built burnt burst came
caught
clung crept cut dealt dove drank drawn drew driven drove drunk dug eaten fallen fed fell fled flew
flown flung fought froze frozen gave given gone got gotten grew grown hit kept knelt knit leant
leapt led lit
ran rang reeled ridden risen rode rose rung sang sank sewn shaken shone shook shot shrank shrunk
sets shut slain slid slung slunk sped spilt spit split spoke spoken sprang spread sprung spun stole
stolen strewn stridden strode struck strung stung sung sunk swam swept swollen swum swung taken
threw thrown thrust took tore torn trod trodden went wept woke woken wove woven written wrote wrung
"""
# As often nouns or adjectives: such a form counts only where it can be a verb.
_NOUNS = """
animate arc attack backs balance bark bite blast blaze blend blur bow brake brush bubble burst buzz
cascade catch chain change charge chase circle clean close coil comb cook cough crack crash cross
crush cry curl curve cut cycle dance dash dim dip dive drain drift drink drip drive drop drum fade
fall fan feed fight fill fish flare flash flock flood flow flurry fly fold follow freeze fry gesture
glance glow grin grip groom hammer hatch hike hit hop hug jab jerk jog jump kick kiss knit knock
land laugh launch lead leap leave lick lift light limp loop lower march mix move narrow nod open
pace paddle pan parachute parade pass pat pedal peel perform pet pick pitch play point pop press
puff pull pulse pump punch push race raise ram reach rear reel release reverse ride ripple rise roar
rock roll rose row rub run rush sail salute scan scatter scoop scratch scream scroll scrub search
separate sets shake shave shift shine shoot shout shovel shrug shut sigh sip skate skateboard ski
skid skip slam slap slash sled slice slide slip smash smile smirk smoke snap sniff snow spar
sparkle
speed spill spin spiral splash split spray spread sprint squat stalk steam step stir stop stream
stretch stride strike stroke stroll struggle surf surge swallow swap swarm sway sweep swell swing
swirl talk tap taxi tear tend throw thrust tick tilt tip toast toss touch tow trace track trail
train tramp transition travel tread trickle trim trip trot turn twist type vacuum wake walk wash
water wave whip whirl whisk whisper wink work wrap yawn yell zip zoom
"""
_FIXED = re.compile(
    r"\b(?:running shoes?|rolling hills?|walking (?:sticks?|canes?)|sleeping bags?|swimming pools?"
    r"|washing machines?|rocking chairs?|parking (?:lots?|garages?)|shopping (?:bags?|malls?)"
    r"|cutting boards?|fishing (?:rods?|boats?)|sewing machines?|floating shel(?:f|ves)"
    r"|folding chairs?|sailing boats?|flying saucers?|cooking pots?|riding boots?|skating rinks?)\b"
)
# Participles that mostly say how things are: "filled with flowers", "a brightly lit room".
_STATES = """
bent blended bound broken brushed built carved closed covered crossed crushed curled curved cut
dimmed driven extended fed fenced filled folded frozen knit led lifted light lights linked lit
lowered mixed narrowed parted pitched pointed raised reversed rounded rowed scattered separated shut
split spread stretched tended tilted topped torn tracked trained trimmed turned twisted worked woven
wrapped written
"""
# Words after which a noun comes, not a verb.
_BEFORE_NOUNS = """
a an the this that these those some any no each every another of in on at with from by for near
beside behind under over above between his her its their our my your one two three several many few
blue red green white black big small large little old new wooden high
"""
_ENGLISH = """
the of and with is are was were at by from its his her their this that while as into onto through
across over under behind near it he she they there an to for
"""
_FOREIGN = """
der die das und ein eine einen mit von im auf ist le la les un une des du et dans sur avec est el
los las de en y con por para que il lo gli di che e per sul o os as um uma no na do da em het een op
met van och att som med ett i z w si je jest oraz
"""


def names_motion(caption: str) -> bool | None:
    """Tell whether a word says that something moves or changes; None where it cannot be judged."""
    text = _FIXED.sub(" ", caption.casefold())
    words = re.findall(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|[.!?;:,]", text)
    sure, perhaps = _forms()
    before_nouns, english, foreign = (set(w.split()) for w in (_BEFORE_NOUNS, _ENGLISH, _FOREIGN))
    for index, word in enumerate(words):
        before = words[index - 1] if index else "."
        if word in sure:
            return True
        # "Waves break": what opens a sentence is its subject.
        if word in perhaps and before not in before_nouns and before not in {".", "!", "?", ";"}:
            return True
    plain = [word for word in words if word[0].isalpha()]
    known = sum(word in english for word in plain)
    # Half a sign each: other languages have them too.
    known += sum(word in {"a", "in", "on"} for word in plain) // 2
    strange = sum(word in foreign for word in plain)
    judged = known > strange and "".join(plain).isascii()
    return False if judged else None


@lru_cache(maxsize=1)
def _forms() -> tuple[frozenset[str], frozenset[str]]:
    """List all forms of all verbs: those that are verbs for sure, and those that may be nouns."""
    nouns = set(_NOUNS.split())
    sure, perhaps = set(_PASTS.split()) - nouns, set(_PASTS.split()) & nouns
    for verb in _VERBS.split():
        finite, others = {verb, _third(verb)}, {_past(verb), _progressive(verb)}
        sure |= others - nouns
        (perhaps if verb in nouns else sure).update(finite)
    sure -= set(_STATES.split())
    return frozenset(sure), frozenset(perhaps - sure - set(_STATES.split()))


def _third(verb: str) -> str:
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


def _past(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return _doubled(verb) + "ed"


def _progressive(verb: str) -> str:
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return _doubled(verb) + "ing"


def _doubled(verb: str) -> str:
    """Double the last letter of one syllable that ends in vowel and consonant: stop -> stopp."""
    short = re.fullmatch(r"(?:qu|[^aeiou])*[aeiouy][^aeiouwxy]", verb)
    return verb + verb[-1] if short or verb in {"propel", "zigzag"} else verb
