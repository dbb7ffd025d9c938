"""What makes a password easy to guess: decided here from the password alone and what is known of its owner."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

SHORTEST, LONGEST = 15, 128
# So much must be left of a password once everything is taken out of it that a guesser tries first.
LEFT = 8

# What people begin with when they are to make up a word; longer ones first, so that no part of one is left over.
WORDS = """
password passwort passphrase motdepasse contrasena wachtwoord haslo parola senha secret geheim letmein welcome
willkommen bienvenue bienvenido admin administrator root toor user guest default changeme temp test testing
login signin access account master service server system computer internet security network database company
office support manager demo example sample hello hallo bonjour iloveyou loveyou ichliebedich iloveu love liebe
sunshine princess princesa prinzessin dragon monkey shadow superman batman spiderman pokemon naruto starwars
football fussball baseball basketball hockey soccer summer sommer winter spring fruehling autumn herbst
january february march april june july august september october november december monday tuesday wednesday
thursday friday saturday sunday michael jennifer jessica ashley charlie daniel thomas robert andrew matthew
joshua jordan hunter ranger buster killer pepper ginger cookie banana orange cheese chocolate flower
butterfly purple silver golden yellow freedom whatever trustno nothing forever friends family mustang ferrari
porsche mercedes corvette yamaha samsung google facebook microsoft windows apple iphone android linkedin
twitter youtube instagram liverpool arsenal chelsea barcelona realmadrid juventus bayern dortmund america
england london berlin paris newyork california texas dallas correcthorsebatterystaple battery staple horse
correct blahblah abcdef asdfgh asdf zxcvbn zxcv qazwsx qweasd qwerty qwertz azerty qwert asdfghjkl qwertyuiop
qwertzuiop azertyuiop zxcvbnm yxcvbnm poiuyt lkjhgf mnbvcx
"""
COMMON = tuple(sorted(WORDS.split(), key=lambda word: (-len(word), word)))
ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm")
# Letters that people put in place of others.
LIKE = str.maketrans("0134578@$!|€", "oieastbasiie")


def weakness(password: str, known: Collection[str] = ()) -> str | None:
    """Say why a password must not be chosen, or None when it may be; `known` is what is known of whoever chooses."""
    if len(password) < SHORTEST:
        return (
            f"It has {len(password)} characters and needs {SHORTEST} at least. A few words that do not belong together "
            "are easy to keep in mind."
        )
    if len(password) > LONGEST:
        return f"It has {len(password)} characters, and {LONGEST} is the most."
    if not password.isprintable():
        return "It has a character that cannot be seen, such as a tab."
    plain = password.casefold()
    if len(set(plain)) < LEFT:
        return "It is made of only a few different characters."
    if min(left(plain, known), left(plain.translate(LIKE), known)) < LEFT:
        return "Most of it is what people try first: common words, names, rows of keys or numbers, or the same again."
    return None


def left(plain: str, known: Iterable[str]) -> int:
    """Return how many characters are left once what is guessed first is taken out."""
    rest = once(plain)
    for word in (*parts(known), *COMMON):
        rest = rest.replace(word, " ")
    rest = re.sub(r"(?:19|20)\d\d", " ", rest)
    rest = without_rows(rest)
    return len(re.sub(r"(.)\1+", r"\1", re.sub(r"[\W_]+", "", rest)))


def once(text: str) -> str:
    """Return a text that is nothing but the same piece again and again as that piece alone."""
    for size in range(1, len(text) // 2 + 1):
        times = -(-len(text) // size)
        if (text[:size] * times)[: len(text)] == text:
            return text[:size]
    return text


def parts(known: Iterable[str]) -> list[str]:
    """Return the words of what is known of somebody, longer ones first."""
    words = {word for text in known for word in re.split(r"[\W_]+", text.casefold()) if len(word) >= 3}
    return sorted(words, key=lambda word: (-len(word), word))


def without_rows(text: str) -> str:
    """Return a text without pieces of four or more neighbours in the alphabet, in numbers or on a keyboard."""
    rows = (*ROWS, *(row[::-1] for row in ROWS))
    kept, place = [], 0
    while place < len(text):
        size = 1
        while place + size < len(text) and any(text[place : place + size + 1] in row for row in rows):
            size += 1
        kept.append(" " if size >= 4 else text[place : place + size])
        place += size
    return "".join(kept)
