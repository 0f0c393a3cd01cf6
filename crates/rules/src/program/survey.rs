//! One walk over a program's syntax tree: it notes what the checks need to know with places, and puts guards where a
//! value could grow without bound.
//!
//! VRL looks at the stopwatch between expressions; what one expression does in between must be bounded by itself. Three
//! things are not: `text * number`, so operands of `*` are guarded against text; variables that grow in a loop, so
//! what is assigned is guarded in size and depth; and an index far beyond an array's end, which is refused here.
//! (Functions are bounded where they are listed, in [`super::functions`].)

use vrl::diagnostic::Span;
use vrl::parser::Program;
use vrl::parser::ast::{
    Abort, Assignment, AssignmentOp, AssignmentTarget, Block, Container, Expr, FunctionArgument,
    FunctionCall, FunctionClosure, Group, Ident, IfStatement, Literal, Node, Not, Op, Opcode, Predicate,
    Query, QueryTarget, Return, RootExpr, Unary,
};
use vrl::path::{OwnedSegment, OwnedTargetPath, OwnedValuePath, PathPrefix};

use super::guard;

/// Deepest nesting of expressions in a program.
const MAX_DEPTH: usize = 100;
/// Deepest nesting of function calls in each other: their types are worked out again at each level.
const MAX_CALLS: usize = 10;
/// Largest index that may be assigned to: an array is filled with null up to it.
const MAX_INDEX: usize = 100;
/// Longest path that may be assigned to.
const MAX_PATH: usize = 32;
/// How much memory a compiled regular expression may take; the time it takes grows with it.
const MAX_REGEX: usize = 1 << 20;

/// What a program does, with places in its text.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Paths it reads from the event.
    pub(super) reads: Vec<(OwnedTargetPath, Span)>,
    /// Functions it calls.
    pub(super) calls: Vec<(String, Span)>,
    /// Where it goes beyond the limits.
    pub(super) beyond: Vec<(Span, String)>,
    calls_deep: usize,
}

/// Surveys a program and returns it with guards.
pub(super) fn survey(program: Program) -> (Program, Survey) {
    let mut survey = Survey::default();
    let roots = program.into_iter().map(|root| {
        root.map(|root| match root {
            RootExpr::Expr(node) => RootExpr::Expr(survey.expr(node, 0)),
            RootExpr::Error(error) => RootExpr::Error(error),
        })
    });
    (Program(roots.collect()), survey)
}

impl Survey {
    fn expr(&mut self, node: Node<Expr>, depth: usize) -> Node<Expr> {
        let (span, expr) = node.take();
        if depth > MAX_DEPTH {
            self.beyond.push((span, format!("nested deeper than {MAX_DEPTH} expressions")));
            return Node::new(span, expr);
        }
        let depth = depth + 1;
        let expr = match expr {
            Expr::Literal(literal) => {
                self.regex(&literal);
                Expr::Literal(literal)
            }
            Expr::Container(node) => Expr::Container(node.map(|container| self.container(container, depth))),
            Expr::IfStatement(node) => Expr::IfStatement(node.map(|branch| self.branch(branch, depth))),
            Expr::Op(node) => Expr::Op(node.map(|op| self.op(op, depth))),
            Expr::Assignment(node) => {
                Expr::Assignment(node.map(|assignment| self.assignment(assignment, depth)))
            }
            Expr::Query(node) => {
                let span = node.span();
                Expr::Query(node.map(|query| self.query(query, span, depth)))
            }
            Expr::FunctionCall(node) => Expr::FunctionCall(node.map(|call| self.call(call, depth))),
            Expr::Unary(node) => {
                Expr::Unary(node.map(|Unary::Not(not)| Unary::Not(not.map(|not| self.not(not, depth)))))
            }
            Expr::Abort(node) => Expr::Abort(node.map(|abort| Abort {
                message: abort.message.map(|message| Box::new(self.expr(*message, depth))),
            })),
            Expr::Return(node) => {
                Expr::Return(node.map(|Return { expr }| Return { expr: Box::new(self.expr(*expr, depth)) }))
            }
            other @ (Expr::Variable(_) | Expr::Break(_)) => other,
        };
        Node::new(span, expr)
    }

    fn not(&mut self, not: Not, depth: usize) -> Not {
        let (operator, operand) = not.take();
        Not::new(operator.span(), self.expr(*operand, depth))
    }

    fn regex(&mut self, literal: &Node<Literal>) {
        if let Literal::Regex(text) = literal.inner()
            && let Err(regex::Error::CompiledTooBig(_)) =
                regex::RegexBuilder::new(text).size_limit(MAX_REGEX).build()
        {
            self.beyond.push((literal.span(), "the regular expression is too large".to_owned()));
        }
    }

    fn container(&mut self, container: Container, depth: usize) -> Container {
        match container {
            Container::Group(node) => {
                Container::Group(Box::new(node.map(|Group(inner)| Group(self.expr(inner, depth)))))
            }
            Container::Block(node) => Container::Block(self.block(node, depth)),
            Container::Array(node) => Container::Array(
                node.map(|array| array.into_iter().map(|element| self.expr(element, depth)).collect()),
            ),
            Container::Object(node) => Container::Object(node.map(|object| {
                object.into_iter().map(|(key, value)| (key, self.expr(value, depth))).collect()
            })),
        }
    }

    fn block(&mut self, block: Node<Block>, depth: usize) -> Node<Block> {
        block.map(|Block(exprs)| Block(exprs.into_iter().map(|expr| self.expr(expr, depth)).collect()))
    }

    fn branch(&mut self, branch: IfStatement, depth: usize) -> IfStatement {
        IfStatement {
            predicate: branch.predicate.map(|predicate| match predicate {
                Predicate::One(expr) => Predicate::One(Box::new(self.expr(*expr, depth))),
                Predicate::Many(exprs) => {
                    Predicate::Many(exprs.into_iter().map(|expr| self.expr(expr, depth)).collect())
                }
            }),
            if_node: self.block(branch.if_node, depth),
            else_node: branch.else_node.map(|block| self.block(block, depth)),
        }
    }

    fn op(&mut self, Op(left, opcode, right): Op, depth: usize) -> Op {
        let (mut left, mut right) = (self.expr(*left, depth), self.expr(*right, depth));
        if *opcode.inner() == Opcode::Mul {
            (left, right) = (number(left), number(right));
        }
        Op(Box::new(left), opcode, Box::new(right))
    }

    fn query(&mut self, query: Query, span: Span, depth: usize) -> Query {
        let Query { target, path } = query;
        let target = target.map(|target| match target {
            QueryTarget::External(prefix) => {
                self.reads.push((OwnedTargetPath { prefix, path: path.inner().clone() }, span));
                QueryTarget::External(prefix)
            }
            QueryTarget::FunctionCall(call) => QueryTarget::FunctionCall(self.call(call, depth)),
            QueryTarget::Container(container) => QueryTarget::Container(self.container(container, depth)),
            QueryTarget::Internal(ident) => QueryTarget::Internal(ident),
        });
        Query { target, path }
    }

    fn call(&mut self, call: FunctionCall, depth: usize) -> FunctionCall {
        self.calls.push((call.ident.inner().to_string(), call.ident.span()));
        self.calls_deep += 1;
        if self.calls_deep > MAX_CALLS {
            let message = format!("more than {MAX_CALLS} function calls inside each other");
            self.beyond.push((call.ident.span(), message));
        }
        let arguments = call.arguments.into_iter().map(|argument| {
            argument.map(|FunctionArgument { ident, expr }| FunctionArgument {
                ident,
                expr: self.expr(expr, depth),
            })
        });
        let arguments = arguments.collect();
        self.calls_deep -= 1;
        let closure = call.closure.map(|closure| {
            closure.map(|FunctionClosure { variables, block }| FunctionClosure {
                variables,
                block: self.block(block, depth),
            })
        });
        FunctionCall { ident: call.ident, abort_on_error: call.abort_on_error, arguments, closure }
    }

    fn assignment(&mut self, assignment: Assignment, depth: usize) -> Assignment {
        match assignment {
            Assignment::Single { target, op, expr } => {
                let (op, expr) = self.assigned(&target, op, *expr, depth);
                Assignment::Single { target, op, expr }
            }
            Assignment::Infallible { ok, err, op, expr } => {
                self.target(&err);
                let (op, expr) = self.assigned(&ok, op, *expr, depth);
                Assignment::Infallible { ok, err, op, expr }
            }
        }
    }

    /// The value to assign, guarded. `x |= y` becomes `x = x | y`, so that the guard sees what `x` will be.
    fn assigned(
        &mut self,
        target: &Node<AssignmentTarget>,
        op: AssignmentOp,
        expr: Node<Expr>,
        depth: usize,
    ) -> (AssignmentOp, Box<Node<Expr>>) {
        let has_path = self.target(target);
        let span = expr.span();
        let mut expr = self.expr(expr, depth);
        if op == AssignmentOp::Merge && is_variable(target.inner()) {
            let before = Node::new(target.span(), target.inner().to_expr(target.span()));
            let merged = Op(Box::new(before), Node::new(span, Opcode::Merge), Box::new(expr));
            expr = Node::new(span, Expr::Op(Node::new(span, merged)));
            return (AssignmentOp::Assign, Box::new(bounded(expr, has_path)));
        }
        (op, Box::new(bounded(expr, has_path)))
    }

    /// Checks the path assigned to; whether there is one.
    fn target(&mut self, target: &Node<AssignmentTarget>) -> bool {
        let path = match target.inner() {
            AssignmentTarget::Noop
            | AssignmentTarget::Internal(_, None)
            | AssignmentTarget::External(None) => {
                return false;
            }
            AssignmentTarget::Query(query) => query.path.inner(),
            AssignmentTarget::Internal(_, Some(path)) => path,
            AssignmentTarget::External(Some(path)) => &path.path,
        };
        let far = |segment: &OwnedSegment| match segment {
            OwnedSegment::Index(index) => index.unsigned_abs() > MAX_INDEX,
            OwnedSegment::Field(_) => false,
        };
        if path.segments.iter().any(far) {
            self.beyond.push((target.span(), format!("an index beyond {MAX_INDEX} is assigned to")));
        }
        if path.segments.len() > MAX_PATH {
            self.beyond.push((target.span(), format!("a path longer than {MAX_PATH} is assigned to")));
        }
        !path.segments.is_empty()
    }
}

/// Whether a variable, or a part of one, is assigned to. Anything else the compiler refuses.
fn is_variable(target: &AssignmentTarget) -> bool {
    match target {
        AssignmentTarget::Internal(..) => true,
        AssignmentTarget::Query(query) => matches!(query.target.inner(), QueryTarget::Internal(_)),
        AssignmentTarget::Noop | AssignmentTarget::External(_) => false,
    }
}

/// Guards an operand of `*` unless it is written as a number.
fn number(operand: Node<Expr>) -> Node<Expr> {
    match operand.inner() {
        Expr::Literal(literal) if matches!(literal.inner(), Literal::Integer(_) | Literal::Float(_)) => {
            operand
        }
        _ => wrap(guard::NUMBER, operand),
    }
}

/// Guards what makes a new value out of others, wherever the assigned expression ends. A part of a variable may be
/// assigned the whole of it, so there (`everything`) mere reads are guarded too.
fn bounded(node: Node<Expr>, everything: bool) -> Node<Expr> {
    let (span, expr) = node.take();
    let tail = |block: Node<Block>| {
        block.map(|Block(mut exprs)| {
            let last = exprs.pop().map(|last| bounded(last, everything));
            exprs.extend(last);
            Block(exprs)
        })
    };
    let expr = match expr {
        Expr::Container(node) => match node.take() {
            (at, Container::Group(group)) => {
                let group = group.map(|Group(inner)| Group(bounded(inner, everything)));
                Expr::Container(Node::new(at, Container::Group(Box::new(group))))
            }
            (at, Container::Block(block)) => Expr::Container(Node::new(at, Container::Block(tail(block)))),
            (at, made) => return wrap(guard::SIZE, Node::new(span, Expr::Container(Node::new(at, made)))),
        },
        Expr::IfStatement(node) => Expr::IfStatement(node.map(|branch| IfStatement {
            if_node: tail(branch.if_node),
            else_node: branch.else_node.map(tail),
            ..branch
        })),
        Expr::Op(node) => match node.inner().1.inner() {
            Opcode::Err | Opcode::Or => Expr::Op(node.map(|Op(left, opcode, right)| {
                Op(Box::new(bounded(*left, everything)), opcode, Box::new(bounded(*right, everything)))
            })),
            Opcode::Add | Opcode::Merge => return wrap(guard::SIZE, Node::new(span, Expr::Op(node))),
            _ => Expr::Op(node),
        },
        Expr::Literal(literal) => match literal.inner() {
            Literal::String(template) if template.as_literal_string().is_none() => {
                return wrap(guard::SIZE, Node::new(span, Expr::Literal(literal)));
            }
            _ => Expr::Literal(literal),
        },
        read @ (Expr::Query(_) | Expr::Variable(_)) if everything => {
            return wrap(guard::SIZE, Node::new(span, read));
        }
        other => other,
    };
    Node::new(span, expr)
}

/// `guard(null) -> || { expr }`: a closure, as an argument could not fail.
fn wrap(guard: &'static str, expr: Node<Expr>) -> Node<Expr> {
    let span = expr.span();
    let null = Node::new(span, Expr::Literal(Node::new(span, Literal::Null)));
    let call = FunctionCall {
        ident: Node::new(span, Ident::new(guard)),
        abort_on_error: false,
        arguments: vec![Node::new(span, FunctionArgument { ident: None, expr: null })],
        closure: Some(Node::new(
            span,
            FunctionClosure { variables: Vec::new(), block: Node::new(span, Block(vec![expr])) },
        )),
    };
    Node::new(span, Expr::FunctionCall(Node::new(span, call)))
}

/// Whether a program that reads these paths needs the event's data.
pub(super) fn reads_data(reads: &[(OwnedTargetPath, Span)]) -> bool {
    let data = |path: &OwnedValuePath| match path.segments.first() {
        Some(OwnedSegment::Field(name)) => name.as_str() == "data",
        _ => true,
    };
    reads.iter().any(|(path, _)| path.prefix == PathPrefix::Event && data(&path.path))
}
