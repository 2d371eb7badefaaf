//! The scripts, in the one dialect that Redis 7 and 8 and Valkey speak.

use crate::remote::Script;
use crate::telemetry::labels::StoreOperation;

/// Writes a batch, unless it is the one that this writer wrote last: it may be sent again when no answer came.
///
/// KEYS: records, the writer's mark. ARGV: the batch's name (a number), records to keep, their age in milliseconds, then
/// flag, cause, summary and record for each. Answers {OK, ids with blanks between}, or {UNREADABLE, key}.
///
/// `XADD` cuts by count or by age, so it does one and the other by turns. Either is done roughly, as whole nodes are cut.
pub(super) const ADD: Script = Script {
    operation: StoreOperation::DivergenceAdd,
    text: "#!lua
for i, kind in ipairs({'stream', 'string'}) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= kind and found ~= 'none' then return {'UNREADABLE', KEYS[i]} end
end
local mark = redis.call('GET', KEYS[2])
if mark then
  local batch, ids = string.match(mark, '^(%d+) ([%d -]+)$')
  if batch == ARGV[1] then return {'OK', ids} end
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local oldest = string.format('%.0f', math.max(0, now - tonumber(ARGV[3])))
local by_age = tonumber(ARGV[1]) % 2 == 0
local ids = {}
for i = 4, #ARGV, 4 do
  local how, bound = 'MAXLEN', ARGV[2]
  if by_age then how, bound = 'MINID', oldest end
  by_age = not by_age
  ids[#ids + 1] = redis.call('XADD', KEYS[1], how, '~', bound, '*',
    'flag', ARGV[i], 'cause', ARGV[i + 1], 'summary', ARGV[i + 2], 'record', ARGV[i + 3])
end
local said = table.concat(ids, ' ')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. said, 'PX', ARGV[3])
return {'OK', said}
",
};

/// A script that only reads, with what all of those begin with: nothing is there, something else is, and what the time is.
macro_rules! reading {
    ($rest:literal) => {
        concat!(
            "#!lua flags=no-writes
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return {'OK', ''} end
if kind ~= 'stream' then return {'UNREADABLE', KEYS[1]} end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
",
            $rest
        )
    };
}

/// Looks at some records, the latest first, and gives the summaries of those that fit.
///
/// KEYS: records. ARGV: the id to begin at, the age in milliseconds, how many to look at, flag or nothing, cause or nothing.
/// Answers {OK, the last id looked at or nothing at the end, id, summary, ...}, or {UNREADABLE, key}.
pub(super) const LIST: Script = Script {
    operation: StoreOperation::DivergenceRead,
    text: reading!(
        "local oldest = string.format('%.0f', math.max(0, now - tonumber(ARGV[2])))
local entries = redis.call('XREVRANGE', KEYS[1], ARGV[1], oldest, 'COUNT', ARGV[3])
local answer = {'OK', ''}
if #entries == tonumber(ARGV[3]) then answer[2] = entries[#entries][1] end
for _, entry in ipairs(entries) do
  local fields = entry[2]
  local fits = #fields == 8 and (ARGV[4] == '' or ARGV[4] == fields[2]) and (ARGV[5] == '' or ARGV[5] == fields[4])
  if fits then
    answer[#answer + 1] = entry[1]
    answer[#answer + 1] = fields[6]
  end
end
return answer
"
    ),
};

/// KEYS: records. ARGV: an id, the age in milliseconds. Answers {OK, the record or nothing}, or {UNREADABLE, key}.
pub(super) const FIND: Script = Script {
    operation: StoreOperation::DivergenceRead,
    text: reading!(
        "if tonumber(string.match(ARGV[1], '^%d+')) < now - tonumber(ARGV[2]) then return {'OK', ''} end
local entry = redis.call('XREVRANGE', KEYS[1], ARGV[1], ARGV[1], 'COUNT', 1)[1]
if not entry or #entry[2] ~= 8 then return {'OK', ''} end
return {'OK', entry[2][8]}
"
    ),
};
