//! The scripts that read and edit a document in the store.
//!
//! Keys of both: the document; `holder` and `fence` of its entity's lease (`lease/fleet/scripts.rs`); the receipt of the update;
//! and outside of a cluster the epoch. All of them are in one slot where the document's key is the entity's.
//!
//! A document is a string, as `SET` writes it. What is edited keeps every other byte, and its time to live: `KEEPTTL`. The
//! receipt is written right after the document, and nothing in between can fail: whoever asks again by the same receipt
//! is told that the edit was made, and does not make it twice.

use crate::remote::Script;
use crate::telemetry::labels::StoreOperation;

/// What both of them share. `look` says what there is: `document`, its bytes, the fence, the lease's owner; or `missing`, the
/// owner; or `wrong_type`; or `too_large`. A document is measured before it is read.
macro_rules! script {
    ($flags:literal, $body:literal) => {
        concat!(
            "#!lua",
            $flags,
            "
local doc, holder, fence, receipt = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local replaced = KEYS[5] and redis.call('GET', KEYS[5]) ~= ARGV[1]
local limit = tonumber(ARGV[2])
local held, owner = redis.call('GET', holder), ''
if held then owner = string.match(held, '^(%S+) %d+$') or held end
local token = redis.call('GET', fence) or ''
local function look()
  local kind = redis.call('TYPE', doc)['ok']
  if kind == 'none' then return {'missing', owner} end
  if kind ~= 'string' then return {'wrong_type'} end
  if redis.call('STRLEN', doc) > limit then return {'too_large'} end
  return {'document', redis.call('GET', doc), token, owner}
end
",
            $body
        )
    };
}

/// Looks at a document.
///
/// Arguments: the epoch as known, the limit of the document's size in bytes.
/// Answer: `done` where the receipt is there, `replaced` where the store is another one, or what `look` says.
pub(super) static READ: Script = Script {
    operation: StoreOperation::DocumentRead,
    text: script!(
        " flags=no-writes",
        "
if redis.call('EXISTS', receipt) == 1 then return {'done'} end
if replaced then return {'replaced'} end
return look()
"
    ),
};

/// Makes an edit: all splices or none. All are found in the document as it is, then it is put together anew.
///
/// Arguments: as of [`READ`]; the owner that may hold the lease, or nothing; the fence as read; how long the receipt is kept, in
/// milliseconds; then for each splice `E`, `P` or `S` (an element that occurs once, the document's beginning, its end), the old
/// bytes, and the new ones.
/// Answer: `applied`; `already`; `replaced`; `held` by another owner; `too_large`, as it would get; or `changed`, and what `look`
/// says.
pub(super) static EDIT: Script = Script {
    operation: StoreOperation::DocumentEdit,
    text: script!(
        "",
        "
if redis.call('EXISTS', receipt) == 1 then return {'already'} end
if replaced then return {'replaced'} end
if owner ~= '' and owner ~= ARGV[3] then return {'held'} end
local there = look()
local function changed()
  table.insert(there, 1, 'changed')
  return there
end
if there[1] ~= 'document' or token ~= ARGV[4] then return changed() end
local text, found = there[2], {}
for at = 6, #ARGV, 3 do
  local anchor, old = ARGV[at], ARGV[at + 1]
  local from = nil
  if anchor == 'P' then
    if string.sub(text, 1, #old) == old then from = 1 end
  elseif anchor == 'S' then
    if string.sub(text, -#old) == old then from = #text - #old + 1 end
  else
    from = string.find(text, old, 1, true)
    if from and string.find(text, old, from + 1, true) then from = nil end
  end
  if not from then return changed() end
  found[#found + 1] = {from, #old, ARGV[at + 2]}
end
table.sort(found, function(a, b) return a[1] < b[1] end)
local pieces, next = {}, 1
for _, splice in ipairs(found) do
  if splice[1] < next then return changed() end
  pieces[#pieces + 1] = string.sub(text, next, splice[1] - 1)
  pieces[#pieces + 1] = splice[3]
  next = splice[1] + splice[2]
end
pieces[#pieces + 1] = string.sub(text, next)
local new = table.concat(pieces)
if #new > limit then return {'too_large'} end
redis.call('SET', doc, new, 'KEEPTTL')
redis.call('SET', receipt, '1', 'PX', ARGV[5])
return {'applied'}
"
    ),
};
