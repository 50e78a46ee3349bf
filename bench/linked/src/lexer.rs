//! Source to tokens, and names to numbers.

use crate::Map;
use std::sync::Arc;

/// A name's number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Symbol(pub u32);

/// Every name once.
#[derive(Default)]
pub struct Names {
    numbers: Map<Arc<str>, Symbol>,
    texts: Vec<Arc<str>>,
}

impl Names {
    /// The number of a name, which is kept if it is new.
    pub fn intern(&mut self, text: String) -> Symbol {
        if let Some(symbol) = self.numbers.get(text.as_str()) {
            return *symbol;
        }
        let symbol = Symbol(self.texts.len() as u32);
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, symbol);
        symbol
    }

    /// The name of a number.
    pub fn text(&self, symbol: Symbol) -> &str {
        &self.texts[symbol.0 as usize]
    }
}

/// A word of the source.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Name(Symbol),
    Number(i64),
    /// A word of the language, an operator or a bracket.
    Mark(Box<str>),
}

/// Words of the language.
const KEYWORDS: [&str; 6] = ["fn", "let", "if", "else", "repeat", "return"];

/// Takes the source apart.
///
/// # Panics
///
/// On a character that the language does not have.
pub fn tokens(source: &str, names: &mut Names) -> Vec<Token> {
    let mut found = Vec::new();
    for line in source.lines() {
        let code = line.split("//").next().unwrap_or("");
        let mut rest = code.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let length = match first {
                _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                _ => first.len_utf8(),
            };
            let (word, after) = rest.split_at(length);
            found.push(match first {
                '0'..='9' => Token::Number(word.parse().expect("a number of digits")),
                _ if KEYWORDS.contains(&word) || !is_word(first) => Token::Mark(word.into()),
                _ => Token::Name(names.intern(word.to_owned())),
            });
            rest = after.trim_start();
        }
    }
    found
}
