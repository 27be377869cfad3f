select to_json(s)::text = row_to_json(s)::text from s;
select position('id' in to_json(s)::text) < position('label' in to_json(s)::text), position('t_id' in to_json(s)::text) < position('qty' in to_json(s)::text) from s;
select id, s is null, s is not null, not (s is null) from s;
select t.id, s is null, s is not null from t left join s on s.t_id = t.id;
select id from t where t is not null;
