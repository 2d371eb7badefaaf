//! The scripts, in the one dialect that Redis 7 and 8 and Valkey speak.
//!
//! They decide first and write last: once the first write is made, nothing can fail any more that would leave half of a
//! change. The first write is the history's, as its stream may refuse an entry. Telling of a change is a hint, so a user
//! without the right to publish changes flags all the same.

use crate::remote::Script;
use crate::telemetry::labels::StoreOperation;

/// What scripts that write begin with. KEYS: flags, revision, history. `unreadable(place)` is the answer where something
/// else stands there; `stored` is the flag's document, `false` where there is none, and `version` what it says of that.
macro_rules! opening {
    () => {
        "#!lua
local name, largest = ARGV[1], tonumber(ARGV[6])
local function unreadable(key, field) return {'UNREADABLE', key, field} end
for i, kind in ipairs({'hash', 'string', 'stream'}) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= kind and found ~= 'none' then return unreadable(KEYS[i]) end
end
local revision = redis.call('GET', KEYS[2])
if revision and not string.match(revision, '^%d%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?$') then
  return unreadable(KEYS[2])
end
if redis.call('HSTRLEN', KEYS[1], name) > largest then return unreadable(KEYS[1], name) end
local stored = redis.call('HGET', KEYS[1], name)
local document, version
local step = 0
if stored then
  local readable
  readable, document = pcall(cjson.decode, stored)
  version = readable and type(document) == 'table' and document.version
  if type(version) ~= 'number' or version < 1 or version > 9007199254740991 or version % 1 ~= 0 then
    return unreadable(KEYS[1], name)
  end
  step = type(document.step) == 'number' and document.step or 0
end
local function add(entry)
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*', 'entry', entry)
end
local function put()
  local revision = redis.call('INCR', KEYS[2])
  redis.call('HSET', KEYS[1], name, ARGV[3])
  redis.pcall('PUBLISH', ARGV[4], name)
  return {'OK', revision}
end
"
    };
}

/// KEYS: flags, revision. ARGV: the largest document, the most fields to list, names of flags.
/// Answers {revision, type of the key, documents or sizes or nils, names that were not asked for}.
pub(super) const READ: Script = Script {
    operation: StoreOperation::FlagsRead,
    text: "#!lua flags=no-writes
local revision = redis.pcall('GET', KEYS[2])
if type(revision) ~= 'string' then revision = '0' end
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then return {revision, kind, {}, {}} end
local largest, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local documents, asked, others = {}, {}, {}
for i = 3, #ARGV do
  asked[ARGV[i]] = true
  local size = redis.call('HSTRLEN', KEYS[1], ARGV[i])
  if size > largest then
    documents[i - 2] = size
  else
    documents[i - 2] = redis.call('HGET', KEYS[1], ARGV[i])
  end
end
if redis.call('HLEN', KEYS[1]) <= most then
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if not asked[name] and #name <= 256 and #others < 16 then others[#others + 1] = name end
  end
end
return {revision, kind, documents, others}
",
};

/// KEYS: flags, revision, history. ARGV: name, expected version, document, channel, cap, largest document, expected step, history
/// entry. Of a step that a transition makes no entry, but whoever was seen on the register, which is one key more: it is not
/// made where somebody else has joined since.
/// Answers {OK, revision}, {CONFLICT, version}, or {UNREADABLE, key[, field]}.
pub(super) const CHANGE: Script = Script {
    operation: StoreOperation::FlagChange,
    text: concat!(
        opening!(),
        "local expected = tonumber(ARGV[2])
if stored and (version > expected or (version == expected and step > tonumber(ARGV[7]))) then
  return {'CONFLICT', string.format('%.0f', version)}
end
if KEYS[4] then
  local seen = {}
  for i = 8, #ARGV do seen[ARGV[i]] = true end
  for _, id in ipairs(redis.call('HKEYS', KEYS[4])) do
    if not seen[id] then return {'CONFLICT', string.format('%.0f', version or 0)} end
  end
elseif ARGV[8] then
  add(ARGV[8])
end
return put()
"
    ),
};

/// KEYS: flags, revision, history. ARGV: name, version, document, channel, cap, largest document, history entries.
/// Answers {OK, revision}, {KEPT}, or {UNREADABLE, key[, field]}.
pub(super) const RESTORE: Script = Script {
    operation: StoreOperation::FlagSeed,
    text: concat!(
        opening!(),
        "if stored then
  local start = version == 1 and document.changed_by == 'configuration'
  if not start or tonumber(ARGV[2]) <= 1 then return {'KEPT'} end
end
if redis.call('EXISTS', KEYS[3]) == 0 then
  for i = 7, #ARGV do add(ARGV[i]) end
end
return put()
"
    ),
};

/// KEYS: history. ARGV: the id to begin at, how many. Answers as XREVRANGE; nothing where no stream stands there.
pub(super) const HISTORY: Script = Script {
    operation: StoreOperation::HistoryRead,
    text: "#!lua flags=no-writes
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then return {} end
return redis.call('XREVRANGE', KEYS[1], ARGV[1], '-', 'COUNT', ARGV[2])
",
};
